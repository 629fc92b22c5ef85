create table orders (id integer primary key, customer integer not null references customers (id), cents integer not null);
insert into orders values (10, 1, 1250), (11, 1, 300), (12, 3, 9900);
