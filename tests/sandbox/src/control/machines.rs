//! The control side's view of instances, and its hand on them.

use crate::sandbox::Sandbox;
use crate::world::{InstanceState, SeedInstance, SeedInvalid};
use serde::Serialize;

/// An instance, as a test finds its way to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceRecord {
    /// Its id.
    pub id: String,
    /// Its region.
    pub region: String,
    /// The value of its tag Name.
    pub name: Option<String>,
    /// Its state.
    pub state: InstanceState,
    /// The port on the loopback where a test's sshd stands for it.
    pub ssh_port: Option<u16>,
}

impl Sandbox {
    /// The instances of all regions.
    pub fn instances(&self) -> Vec<InstanceRecord> {
        self.with_world(|world, _| {
            let regions = world.ec2.regions.iter();
            let all = regions.flat_map(|(region, inside)| inside.instances.values().map(move |one| (region, one)));
            all.map(|(region, instance)| InstanceRecord {
                id: instance.id.clone(),
                region: region.clone(),
                name: instance.tags.get("Name").cloned(),
                state: instance.state,
                ssh_port: instance.ssh_port,
            })
            .collect()
        })
    }

    /// Launches an instance now, with a key pair that is there, as RunInstances would.
    pub fn launch(&self, instance: &SeedInstance) -> Result<(), SeedInvalid> {
        let now = self.now_millis();
        self.with_world(|world, entropy| world.ec2.launch(instance, entropy, now))
    }

    /// Puts an instance into another state; false where it is not there.
    pub fn set_instance_state(&self, id: &str, state: InstanceState) -> bool {
        self.with_world(|world, _| world.ec2.instance_mut(id).map(|instance| instance.state = state).is_some())
    }

    /// Says at which port of the loopback a test's sshd stands for an instance; false where it is not there.
    pub fn set_ssh_port(&self, id: &str, port: u16) -> bool {
        self.with_world(|world, _| world.ec2.instance_mut(id).map(|instance| instance.ssh_port = Some(port)).is_some())
    }

    /// The lines that sshd on this instance is told for this user: keys pushed in the last 60 seconds.
    pub fn pushed_keys(&self, instance: &str, user: &str) -> Vec<String> {
        let now = self.now_millis();
        self.with_world(|world, _| world.ec2.pushed_keys(instance, user, now))
    }
}
