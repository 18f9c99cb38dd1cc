//! The double against its own rules, each with a positive control. `clients.py` drives it with AWS's own clients.

#[cfg(test)]
mod common;
#[cfg(test)]
mod control;
#[cfg(test)]
mod ec2;
#[cfg(test)]
mod fingerprints;
#[cfg(test)]
mod iam;
#[cfg(test)]
mod instance_connect;
#[cfg(test)]
mod instances;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod login;
#[cfg(test)]
mod server;
#[cfg(test)]
mod sigv4;
#[cfg(test)]
mod sts;
#[cfg(test)]
mod trust;
