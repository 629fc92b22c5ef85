create view totals as select customer, sum(cents) as cents from orders group by customer;
