update orders set cents = cents + 100 where id = 11;
