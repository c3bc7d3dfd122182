//! The planner in conversation with simulated nodes.

mod agent;
mod conversation;
mod judgement;
mod world;
