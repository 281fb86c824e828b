//! `FileReader`: reads whole files for cores, which must not wait for a disk.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::task::{BoxFuture, Task, TaskEnv, TaskError};
use crate::shared::question::Questions;

/// Files that are read at the same time.
const READING_MAX: usize = 8;
/// The largest file that is read.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileError {
    /// Nothing is there, or something that is no file.
    NotFound,
    TooLarge,
    /// What the system says.
    Unreadable(String),
}

/// Answers questions for files, each on a thread that may block.
pub struct FileReader {
    name: String,
    questions: Questions<PathBuf, Result<Vec<u8>, FileError>>,
}

// === impl FileReader ===

impl FileReader {
    /// `name` appears in the log.
    pub fn new(
        name: String,
        questions: Questions<PathBuf, Result<Vec<u8>, FileError>>,
    ) -> FileReader {
        FileReader { name, questions }
    }
}

impl Task for FileReader {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, _env: TaskEnv) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            let free = Arc::new(Semaphore::new(READING_MAX));
            while let Some(asked) = self.questions.next().await {
                let permit = free.clone().acquire_owned().await.map_err(TaskError::new)?;
                tokio::task::spawn_blocking(move || {
                    if !asked.is_abandoned() {
                        let content = read(&asked.question);
                        asked.answer(content);
                    }
                    drop(permit);
                });
            }
            Ok(())
        })
    }
}

/// Looks before it opens: a pipe without a writer would hold the thread.
fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let about = std::fs::metadata(path)?;
    if !about.is_file() {
        return Err(FileError::NotFound);
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(FileError::TooLarge);
    }
    let mut content = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(FileError::TooLarge);
    }
    Ok(content)
}

// === impl FileError ===

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> FileError {
        match error.kind() {
            // A path that no file can have names none.
            ErrorKind::NotFound | ErrorKind::InvalidInput | ErrorKind::NotADirectory => {
                FileError::NotFound
            }
            _ => FileError::Unreadable(error.to_string()),
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::NotFound => f.write_str("no such file"),
            FileError::TooLarge => write!(f, "the file has more than {FILE_BYTES_MAX} bytes"),
            FileError::Unreadable(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_read() {
        let folder = std::env::temp_dir().join(format!("file-reader-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.txt");
        std::fs::write(&path, "text").unwrap();
        assert_eq!(read(&path), Ok(b"text".to_vec()));
        assert_eq!(read(&folder), Err(FileError::NotFound));
        assert_eq!(read(&folder.join("none")), Err(FileError::NotFound));
        assert_eq!(read(&path.join("below")), Err(FileError::NotFound));
        assert_eq!(read(Path::new("a\0b")), Err(FileError::NotFound));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
