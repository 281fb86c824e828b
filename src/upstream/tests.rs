mod guards;
mod simulation;
mod world;
