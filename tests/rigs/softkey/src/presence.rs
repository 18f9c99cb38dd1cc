//! The finger, as the firmware sees it.

use crate::panel::{Panel, Touch};
use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trussed::platform::UserInterface;
use trussed::types::ui::Status;
use trussed_core::types::{consent::Level, reboot::To};

pub(crate) struct Finger(pub(crate) Arc<Panel>);

impl UserInterface for Finger {
    fn check_user_presence(&mut self) -> Level {
        let touched = self.0.change(|state| {
            let since = state.waiting.get_or_insert_with(Instant::now).elapsed();
            let touched = match state.touch {
                Touch::Auto => true,
                Touch::Delay(delay) => since >= delay,
                Touch::Manual => std::mem::take(&mut state.pressed),
                Touch::Never => false,
            };
            if touched {
                state.waiting = None;
            }
            touched
        });
        if touched { Level::Strong } else { Level::None }
    }

    fn set_status(&mut self, status: Status) {
        self.0.change(|state| {
            state.waiting = (status == Status::WaitingForUserPresence).then(Instant::now);
            state.asked += u64::from(state.waiting.is_some());
        });
    }

    /// The firmware asks in a loop, and this is called in between.
    fn refresh(&mut self) {
        self.0.pause(Duration::from_millis(1));
    }

    /// Never asked: the virtual platform has a clock of its own.
    fn uptime(&mut self) -> Duration {
        Duration::ZERO
    }

    fn reboot(&mut self, _: To) -> ! {
        process::exit(3)
    }

    fn wink(&mut self, _: Duration) {
        self.0.change(|state| state.winks += 1);
    }
}
