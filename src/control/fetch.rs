//! One HTTP exchange of a command, which has no runtime of its own and waits for it.

use std::time::Duration;

use super::http_client::{HttpClient, HttpSettings, TlsTrust};

/// The body of a URL; any status but 200 is an error.
///
/// # Errors
/// The reason, in words for the user.
pub fn fetch(url: &str, timeout: Duration, body_bytes_max: usize) -> Result<Vec<u8>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let tls = TlsTrust::default();
    let settings = HttpSettings { user_agent: "Shoal", timeout, body_bytes_max, tls };
    let answer = runtime.block_on(async {
        let client = HttpClient::new(&settings).map_err(|error| error.to_string())?;
        client.get(url).await.map_err(|error| error.to_string())
    })?;
    match answer.status {
        200 => Ok(answer.body),
        status => Err(format!("the server answers with status {status}")),
    }
}
