//! The planner in conversation with simulated nodes.

mod conversation;
mod judgement;
mod world;
