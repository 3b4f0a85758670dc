//! Wiring only: builds each room from its part of the settings and owns the order of shutdown.
