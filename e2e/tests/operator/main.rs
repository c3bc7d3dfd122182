//! The operator's program against a real API server, with the rights that it has when it is installed. Agents are
//! played by hand, each with its own token.

#[cfg(test)]
mod bench;
#[cfg(test)]
mod leaders;
#[cfg(test)]
mod life;
#[cfg(test)]
mod withdraw;
