//! The command line: `--name=value`.

use crate::panel::Touch;
use std::path::PathBuf;

pub(crate) struct Options {
    pub(crate) bridge: PathBuf,
    pub(crate) control: PathBuf,
    /// Where the key's flash is kept; without it, it is lost with the power.
    pub(crate) store: Option<PathBuf>,
    /// What the key's random numbers come from; without it, the system's.
    pub(crate) seed: Option<u64>,
    pub(crate) vendor: u16,
    pub(crate) product: u16,
    pub(crate) serial: String,
    pub(crate) name: String,
    /// How long a touch is waited for.
    pub(crate) up_timeout_ms: u32,
    pub(crate) max_resident: u32,
    pub(crate) touch: Touch,
    pub(crate) unplugged: bool,
}

impl Options {
    pub(crate) fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            bridge: PathBuf::new(),
            control: PathBuf::new(),
            store: None,
            seed: None,
            vendor: 0x20a0,
            product: 0x42b2,
            serial: "SOFT0001".to_owned(),
            name: "softkey FIDO2 test key".to_owned(),
            up_timeout_ms: 30_000,
            max_resident: 50,
            touch: Touch::Auto,
            unplugged: false,
        };
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((&word, ""));
            let wrong = || format!("{word} is not understood; README.md has the options");
            let hex = || u16::from_str_radix(value, 16).map_err(|_| wrong());
            match name {
                "--bridge" => options.bridge = value.into(),
                "--control" => options.control = value.into(),
                "--store" => options.store = Some(value.into()),
                "--seed" => options.seed = Some(value.parse().map_err(|_| wrong())?),
                "--vendor" => options.vendor = hex()?,
                "--product" => options.product = hex()?,
                "--serial" if !value.is_empty() && !value.contains(' ') => options.serial = value.to_owned(),
                "--name" if !value.is_empty() => options.name = value.to_owned(),
                "--up-timeout-ms" => options.up_timeout_ms = value.parse().map_err(|_| wrong())?,
                "--max-resident" => options.max_resident = value.parse().map_err(|_| wrong())?,
                "--touch" => options.touch = Touch::read(&value.split(' ').collect::<Vec<_>>()).ok_or_else(wrong)?,
                "--unplugged" if value.is_empty() => options.unplugged = true,
                _ => return Err(wrong()),
            }
        }
        if options.bridge.as_os_str().is_empty() || options.control.as_os_str().is_empty() {
            return Err("--bridge=SOCKET and --control=SOCKET are needed".to_owned());
        }
        Ok(options)
    }
}
