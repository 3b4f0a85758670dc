//! Moves bytes between client and backend until one side ends.
