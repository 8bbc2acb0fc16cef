//! Who may do what: tokens, and the secrets that they are.
