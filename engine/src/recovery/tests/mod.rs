mod damage;
mod log_builder;
mod refusals;
mod restarts;
mod summary;
