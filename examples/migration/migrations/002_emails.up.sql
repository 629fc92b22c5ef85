create table emails (customer integer not null references customers (id), address text not null);
insert into emails select id, 'customer-' || id || '@example.org' from customers;
