//! As much of STOMP 1.2 as talking to a real `ActiveMQ` takes: frames, one connection, heart-beats.

mod client;
mod frame;

pub use client::{Client, StompError};
pub use frame::{Decoder, Frame, FrameError};
