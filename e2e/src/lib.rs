//! Scenarios on a real IPVS kernel and a real API server.
