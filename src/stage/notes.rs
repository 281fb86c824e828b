//! `Notes`: what the stages of a call remember from `before` to `after`.

use std::any::Any;

use smallvec::SmallVec;

/// Each stage's note, under the stage's own address. They go with the call, whether or not `after` is reached.
#[derive(Default)]
pub struct Notes(SmallVec<[(usize, Box<dyn Any>); 1]>);

impl Notes {
    pub fn put<S, N: 'static>(&mut self, stage: &S, note: N) {
        self.0.push((address(stage), Box::new(note)));
    }

    /// The last note of this stage, if it is of this type.
    pub fn take<S, N: 'static>(&mut self, stage: &S) -> Option<Box<N>> {
        let mine =
            |(owner, note): &(usize, Box<dyn Any>)| *owner == address(stage) && note.is::<N>();
        let place = self.0.iter().rposition(mine)?;
        self.0.remove(place).1.downcast().ok()
    }
}

fn address<S>(stage: &S) -> usize {
    std::ptr::from_ref(stage).addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_finds_its_own_note_once() {
        let stages = [1u8, 2];
        let mut notes = Notes::default();
        notes.put(&stages[0], "first".to_owned());
        notes.put(&stages[1], "second".to_owned());
        assert_eq!(notes.take::<u8, String>(&stages[0]).as_deref(), Some(&"first".to_owned()));
        assert_eq!(notes.take::<u8, String>(&stages[0]), None);
        assert_eq!(notes.take::<u8, u32>(&stages[1]), None);
    }
}
