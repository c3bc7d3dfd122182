//! What an agent keeps on its node between two starts, and the lock that keeps a second agent away.

pub mod durable;
pub mod lock;
pub mod plan_copy;
