select case when count(*) = 3 then 'PASS' else 'FAIL' end, 'every customer has an address' from emails;
select case when sum(cents) = 11550 then 'PASS' else 'FAIL' end, 'no cent is lost' from totals;
