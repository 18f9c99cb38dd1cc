//! What a computation leaves on the stack: keys that were moved, padded or expanded there. The wiping allocator does not
//! reach it, and a thread may live as long as the agent.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How far down the stack is wiped, in bytes: more than any thread here ever uses of its own, which a test measures. Where
/// nothing is optimised, each step that a request waits in has frames of tens of KiB.
pub const WIPED_STACK: usize = if cfg!(debug_assertions) { 768 * 1024 } else { OPTIMISED };

/// The same where code is optimised: twice what it uses.
pub const OPTIMISED: usize = 128 * 1024;

/// Runs this and wipes the stack that it used. What it returns should not itself be a key.
pub fn on_wiped_stack<T>(work: impl FnOnce() -> T) -> T {
    let done = apart(work);
    wipe();
    done
}

/// The same for a future, after each time it runs.
pub async fn with_wiped_stack<F: Future>(future: F) -> F::Output {
    WipedStack(Box::pin(future)).await
}

/// In a frame of its own, so that all it uses lies below.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

fn wipe() {
    if super::Defence::WipedStack.stands() {
        zeroize::zeroize_stack::<WIPED_STACK>();
    }
}

struct WipedStack<F>(Pin<Box<F>>);

impl<F: Future> Future for WipedStack<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.0.as_mut();
        on_wiped_stack(|| future.poll(context))
    }
}
