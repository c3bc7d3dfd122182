//! The operator's program, as its users start it.

#[cfg(test)]
mod folder;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod world;
