mod damage;
mod fixture;
mod log_builder;
mod refusals;
mod restarts;
mod summary;
