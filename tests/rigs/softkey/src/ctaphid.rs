//! CTAPHID: messages in reports of 64 bytes, channels, keepalives, cancel (CTAP 2.1, section 11.2).

use crate::cable::{Cable, Event, REPORT};
use crate::firmware::{INTERRUPT, Job, MESSAGE};
use crate::panel::{Answer, Panel, State};
use ctaphid_app::Command;
use std::collections::HashSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

const PING: u8 = 0x01;
const MSG: u8 = 0x03;
const INIT: u8 = 0x06;
const WINK: u8 = 0x08;
const CBOR: u8 = 0x10;
const CANCEL: u8 = 0x11;
const KEEPALIVE: u8 = 0x3b;
const ERROR: u8 = 0x3f;

const INVALID_COMMAND: u8 = 0x01;
pub(crate) const INVALID_LENGTH: u8 = 0x03;
const INVALID_SEQUENCE: u8 = 0x04;
const MESSAGE_TIMEOUT: u8 = 0x05;
const CHANNEL_BUSY: u8 = 0x06;
const INVALID_CHANNEL: u8 = 0x0b;

const BROADCAST: u32 = u32::MAX;
/// What a first report carries, and what each further one.
const FIRST: usize = 57;
const FURTHER: usize = 59;
const KEEPALIVE_EVERY: Duration = Duration::from_millis(100);
/// A message has to go on within this time.
const PATIENCE: Duration = Duration::from_millis(500);

/// A message of which more reports have to come.
struct Partial {
    channel: u32,
    command: u8,
    size: usize,
    data: Vec<u8>,
    sequence: u8,
    last: Instant,
}

pub(crate) struct Hid<'a> {
    cable: Cable,
    panel: &'a Panel,
    work: Sender<Job>,
    channels: HashSet<u32>,
    next_channel: u32,
    partial: Option<Partial>,
    /// Channel and command of what the firmware works on.
    busy: Option<(u32, u8)>,
    abandoned: bool,
    pulled: bool,
}

impl<'a> Hid<'a> {
    pub(crate) fn new(cable: Cable, panel: &'a Panel, work: Sender<Job>) -> Self {
        let (channels, next_channel) = (HashSet::new(), 0x0100_0000);
        let (partial, busy, abandoned, pulled) = (None, None, false, false);
        Self { cable, panel, work, channels, next_channel, partial, busy, abandoned, pulled }
    }

    /// Serves until the bridge has closed its end.
    pub(crate) fn run(mut self, arrived: &Receiver<Event>) {
        let mut last = Instant::now();
        loop {
            match arrived.recv_timeout(KEEPALIVE_EVERY / 2) {
                Ok(Event::Report(report)) if !self.pulled => {
                    let was_busy = self.busy.is_some();
                    self.report(&report);
                    if !was_busy {
                        last = Instant::now();
                    }
                }
                Ok(Event::Answer(answer)) => self.answer(answer),
                Ok(Event::Pulled) => self.pull(),
                Ok(Event::Gone) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Event::Report(_)) | Err(RecvTimeoutError::Timeout) => {}
            }
            match self.busy {
                Some((channel, CBOR)) if last.elapsed() >= KEEPALIVE_EVERY && !self.abandoned => {
                    let needs_touch = self.panel.look().waiting.is_some();
                    self.send(channel, KEEPALIVE, &[if needs_touch { 2 } else { 1 }]);
                    last = Instant::now();
                }
                _ => {}
            }
            if let Some(partial) = self.partial.take_if(|partial| partial.last.elapsed() > PATIENCE) {
                self.error(partial.channel, MESSAGE_TIMEOUT);
            }
        }
        self.stop();
    }

    fn pull(&mut self) {
        self.pulled = true;
        self.stop();
        self.cable.pull();
    }

    /// Whatever the firmware does, it ends it soon.
    fn stop(&self) {
        if self.busy.is_some() {
            INTERRUPT.interrupt();
        }
    }

    fn answer(&mut self, answer: Result<Vec<u8>, u8>) {
        INTERRUPT.set_idle();
        let Some((channel, command)) = self.busy.take() else { return };
        if std::mem::take(&mut self.abandoned) {
            return;
        }
        let spoilt = self.panel.look().answer;
        let channel = if spoilt == Answer::WrongChannel { channel ^ 0x00ff_0000 } else { channel };
        match answer {
            Ok(mut data) => {
                match spoilt {
                    Answer::Garbage => data.iter_mut().skip(1).for_each(|byte| *byte = 0xff),
                    Answer::Short => data.truncate(data.len() / 2),
                    Answer::Whole | Answer::WrongChannel => {}
                }
                self.send(channel, command, &data);
            }
            Err(code) => self.error(channel, code),
        }
    }

    fn send(&mut self, channel: u32, command: u8, data: &[u8]) {
        let (first, rest) = data.split_at(data.len().min(FIRST));
        let size = u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes();
        self.send_report(channel, &[&[command | 0x80], &size[..], first].concat());
        for (sequence, part) in (0..).zip(rest.chunks(FURTHER)) {
            self.send_report(channel, &[&[sequence], part].concat());
        }
    }

    fn send_report(&mut self, channel: u32, content: &[u8]) {
        let cut = self.panel.change(|state| {
            state.answers += 1;
            let cut = State::is_cut(&mut state.cut_answer);
            if cut {
                state.pull();
            }
            cut
        });
        self.pulled |= cut;
        if self.pulled {
            return;
        }
        let mut report = [0; REPORT];
        report[..4].copy_from_slice(&channel.to_be_bytes());
        report[4..4 + content.len()].copy_from_slice(content);
        self.cable.send(&report);
    }

    fn error(&mut self, channel: u32, code: u8) {
        self.send(channel, ERROR, &[code]);
    }

    fn report(&mut self, report: &[u8; REPORT]) {
        let lost = self.panel.change(|state| {
            state.reports += 1;
            let cut = State::is_cut(&mut state.cut);
            if cut {
                state.pull();
            }
            cut || state.mute
        });
        if lost {
            return;
        }
        let channel = u32::from_be_bytes([report[0], report[1], report[2], report[3]]);
        if report[4] & 0x80 != 0 {
            let size = usize::from(u16::from_be_bytes([report[5], report[6]]));
            self.first(channel, report[4] & 0x7f, size, &report[7..]);
        } else {
            self.further(channel, report[4], &report[5..]);
        }
    }

    fn first(&mut self, channel: u32, command: u8, size: usize, data: &[u8]) {
        if command == CANCEL {
            if self.busy.is_some_and(|(busy, _)| busy == channel) {
                self.panel.change(|state| state.cancels += 1);
                INTERRUPT.interrupt();
            }
            return;
        }
        if command == INIT {
            return self.init(channel, size, data);
        }
        if !self.channels.contains(&channel) {
            return self.error(channel, INVALID_CHANNEL);
        }
        if self.busy.is_some() || self.partial.as_ref().is_some_and(|partial| partial.channel != channel) {
            return self.error(channel, CHANNEL_BUSY);
        }
        if self.partial.take().is_some() {
            return self.error(channel, INVALID_SEQUENCE);
        }
        if size > MESSAGE {
            return self.error(channel, INVALID_LENGTH);
        }
        let data = data[..size.min(FIRST)].to_vec();
        self.take(Partial { channel, command, size, data, sequence: 0, last: Instant::now() });
    }

    fn further(&mut self, channel: u32, sequence: u8, data: &[u8]) {
        let Some(mut partial) = self.partial.take_if(|partial| partial.channel == channel) else { return };
        if sequence != partial.sequence {
            return self.error(channel, INVALID_SEQUENCE);
        }
        partial.sequence += 1;
        partial.data.extend_from_slice(&data[..(partial.size - partial.data.len()).min(FURTHER)]);
        partial.last = Instant::now();
        self.take(partial);
    }

    fn init(&mut self, channel: u32, size: usize, nonce: &[u8]) {
        if size != 8 {
            return self.error(channel, INVALID_LENGTH);
        }
        let given = if channel == BROADCAST {
            self.next_channel += 1;
            self.channels.insert(self.next_channel);
            self.next_channel
        } else if self.channels.contains(&channel) {
            // What runs on this channel is given up.
            self.partial = None;
            if self.busy.is_some_and(|(busy, _)| busy == channel) {
                INTERRUPT.interrupt();
                self.abandoned = true;
            }
            channel
        } else {
            return self.error(channel, INVALID_CHANNEL);
        };
        // CTAPHID 2, device version 1.0.0, WINK and CBOR.
        let answer = [&nonce[..8], &given.to_be_bytes(), &[2, 1, 0, 0, 0x05]].concat();
        self.send(channel, INIT, &answer);
    }

    fn take(&mut self, message: Partial) {
        let Partial { channel, command, .. } = message;
        if message.data.len() < message.size {
            self.partial = Some(message);
            return;
        }
        match command {
            PING => self.send(channel, PING, &message.data),
            WINK => {
                self.panel.change(|state| state.winks += 1);
                self.send(channel, WINK, &[]);
            }
            CBOR | MSG => {
                INTERRUPT.set_working();
                self.busy = Some((channel, command));
                let command = if command == CBOR { Command::Cbor } else { Command::Msg };
                let _ = self.work.send(Job { command, request: message.data });
            }
            _ => self.error(channel, INVALID_COMMAND),
        }
    }
}
