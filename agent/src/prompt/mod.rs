//! STAND-IN until the prompt room is merged.
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
/// q
pub struct Question {
    /// t
    pub title: String,
    /// l
    pub lines: Vec<String>,
}
/// u
#[derive(Debug, thiserror::Error)]
#[error("nobody")]
pub struct Unasked;
/// v
pub enum Verdict {
    /// a
    Allowed,
    /// r
    Refused,
    /// u
    Unasked(Unasked),
}
/// p
pub struct Programs {
    /// p
    pub pinentry: Option<PathBuf>,
    /// a
    pub askpass: Option<PathBuf>,
    /// e
    pub environment: Vec<(OsString, OsString)>,
}
/// p
pub struct Prompts;
impl Prompts {
    /// n
    pub fn new(_clock: Arc<dyn crate::world::Clock>, _programs: Programs) -> Arc<Self> {
        Arc::new(Self)
    }
    /// c
    pub async fn confirm(&self, _question: &Question) -> Verdict {
        Verdict::Refused
    }
}
/// s
pub fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}
