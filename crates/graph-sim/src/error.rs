//! What can go wrong when the simulator starts.

/// Failure to start the simulator.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The address could not be bound; choose another port.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// Why not.
        source: std::io::Error,
    },
}
