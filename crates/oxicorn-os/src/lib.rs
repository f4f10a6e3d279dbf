//! Every system call of oxicorn.
