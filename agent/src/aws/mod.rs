//! The network: AWS calls and the AWS files.

pub mod profile;
