create table customers (id integer primary key, name text not null);
insert into customers values (1, 'Ada'), (2, 'Grace; the admiral'), (3, 'Edsger');
