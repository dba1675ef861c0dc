mod adopting;
mod killed;
mod memory;
mod places;
mod raising;
mod razing;
