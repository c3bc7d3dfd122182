//! The planner in conversation with simulated nodes.

mod agent;
mod conversation;
mod forwarding;
mod judgement;
mod marks;
mod world;
