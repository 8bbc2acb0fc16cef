//! What the end-to-end tests share: engines, servers and agents of their own.
