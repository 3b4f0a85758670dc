//! Asks an auth service on behalf of sessions: Dovecot's auth-client socket, or embedded password files.
