//! Signing in, and what ends it.
