//! A step is burned before its code leaves, and what happens to it when the code does not arrive, or the agent dies.

use crate::network::Way;
use crate::rig::{Rig, rig};
use claviger_agent::ask::Listener;
use claviger_agent::aws::{self, NetworkFault};
use claviger_agent::session::Error;
use tokio::runtime::{Builder, Runtime};

/// Control for the tests of a crash: without one the first step is used, and sealed sessions need none after it.
#[test]
fn without_a_crash_the_first_step_is_used_and_a_restart_costs_none() {
    let mut rig = rig();
    let before = runtime().block_on(rig.get("prod"));
    assert_eq!((rig.steps(), rig.passed()), (vec![0], 0));
    rig.restart();
    rig.unlock().unwrap();
    let after = runtime().block_on(rig.get("prod"));
    assert_eq!(after.access_key_id, before.access_key_id, "the sealed session");
    assert_eq!(rig.network.count(), 2);
    assert!(rig.custody.warnings().is_empty());
}

#[test]
fn killed_between_burn_and_send_the_step_is_skipped() {
    let mut rig = rig();
    kill_before_sending(&mut rig);
    rig.unlock().unwrap();
    assert!(rig.custody.warnings().is_empty());
    assert!(rig.burned(0) && !rig.burned(1) && !rig.burned(-1), "the ledger has this one step");
    runtime().block_on(rig.get("prod"));
    assert_eq!((rig.steps(), rig.passed()), (vec![1], 29_500));
    rig.no_code_twice();
}

#[test]
fn killed_and_the_state_lost_every_step_up_to_the_next_counts_as_burned() {
    let mut rig = rig();
    kill_before_sending(&mut rig);
    std::fs::remove_file(rig.state_file()).unwrap();
    rig.unlock().unwrap();
    assert_eq!(rig.custody.warnings().len(), 1);
    assert!((-19..=1).all(|step| rig.burned(step)) && !rig.burned(2));
    runtime().block_on(rig.get("prod"));
    assert_eq!((rig.steps(), rig.passed()), (vec![2], 59_500));
    rig.no_code_twice();
    rig.restart();
    rig.unlock().unwrap();
    assert!(rig.custody.warnings().is_empty(), "said once");
    assert!(rig.burned(2), "and the new ledger is kept");
}

/// A request gets as far as the network, which never sends it; then the process is gone.
fn kill_before_sending(rig: &mut Rig) {
    rig.clock.hold();
    rig.network.script("GetSessionToken", Way::Never);
    let runtime = runtime();
    let (office, plan) = (rig.office.clone(), rig.plan("prod"));
    runtime.spawn(async move { office.credentials(plan, Listener::nobody()).await.map(drop) });
    runtime.block_on(rig.network.arrived(1));
    runtime.shutdown_background();
    rig.clock.release();
    rig.restart();
    assert_eq!(rig.steps(), Vec::<i64>::new());
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

#[tokio::test]
async fn a_code_that_never_left_can_be_used_again_at_once() {
    let rig = rig();
    rig.network.script("GetSessionToken", Way::NotSent);
    assert!(matches!(&*rig.fail("prod").await, Error::Aws(aws::Error::Unreachable { sent: false, .. })));
    assert!(!rig.burned(0));
    rig.get("prod").await;
    assert_eq!((rig.steps(), rig.passed()), (vec![0], 0));
    let codes = rig.network.codes();
    assert_eq!((codes.len(), &codes[0]), (2, &codes[1]), "the same code: the first one never left");
}

#[tokio::test]
async fn on_disk_the_step_of_a_code_that_never_left_stays_burned() {
    let mut rig = rig();
    rig.network.script("GetSessionToken", Way::NotSent);
    rig.fail("prod").await;
    rig.restart();
    rig.unlock().unwrap();
    assert!(rig.burned(0));
    rig.get("prod").await;
    assert_eq!(rig.steps(), [1]);
}

#[tokio::test]
async fn a_code_whose_answer_was_lost_counts_as_used_whether_it_was_or_not() {
    for (done, steps) in [(true, vec![0, 1]), (false, vec![1])] {
        let rig = rig();
        rig.network.script("GetSessionToken", Way::Lost { done });
        rig.get("prod").await;
        assert_eq!((rig.steps(), rig.passed()), (steps, 29_500));
        assert!(rig.burned(0) && rig.burned(1) && !rig.burned(2));
        rig.no_code_twice();
    }
}

#[tokio::test]
async fn three_lost_answers_are_told_and_the_next_request_takes_the_next_step() {
    let rig = rig();
    for _ in 0..3 {
        rig.network.script("GetSessionToken", Way::Lost { done: true });
    }
    let error = rig.fail("prod").await;
    let lost = Error::Aws(aws::Error::Unreachable {
        host: "sts.us-east-1.amazonaws.com".to_owned(),
        fault: NetworkFault::CutOff,
        sent: true,
    });
    assert_eq!(error.to_string(), lost.to_string());
    assert!(matches!(&*error, Error::Aws(aws::Error::Unreachable { fault: NetworkFault::CutOff, sent: true, .. })));
    assert!(rig.office.sessions().is_empty());
    rig.get("prod").await;
    assert_eq!(rig.steps(), [0, 1, 2, 3]);
    rig.no_code_twice();
}
