-- A small shop. Everybody in it is invented: addresses at example domains, the card industry's test numbers, and
-- social-security numbers that were printed in advertisements or never given out.
CREATE TABLE customers (
    id    integer PRIMARY KEY,
    name  text NOT NULL,
    email text NOT NULL,
    phone text NOT NULL,
    card  text NOT NULL,
    ssn   text NOT NULL,
    city  text NOT NULL
);

INSERT INTO customers VALUES
    (1,  'Ada Marchetti',   'ada.marchetti@example.com', '+1 212 555 0101', '4111 1111 1111 1111', '219-09-9999', 'New York'),
    (2,  'Bruno Okafor',    'bruno@example.org',         '+1 415 555 0102', '5555 5555 5555 4444', '078-05-1120', 'Oakland'),
    (3,  'Chiara Lindqvist','chiara.l@example.net',      '+1 312 555 0103', '3782 822463 10005',   '457-55-5462', 'Chicago'),
    (4,  'Deniz Halloran',  'deniz@example.com',         '+1 206 555 0104', '6011 1111 1111 1117', '111-22-3333', 'Seattle'),
    (5,  'Elif Tanaka',     'elif.tanaka@example.org',   '+1 617 555 0105', '4012 8888 8888 1881', '123-45-6789', 'Boston'),
    (6,  'Farid Nyström',   'farid@example.net',         '+1 305 555 0106', '5105 1051 0510 5100', '212-09-7694', 'Miami'),
    (7,  'Grete Obuya',     'grete.obuya@example.com',   '+1 503 555 0107', '3530 1113 3330 0000', '306-30-2348', 'Portland'),
    (8,  'Hugo Petrescu',   'hugo@example.org',          '+1 702 555 0108', '3056 930902 5904',    '212-09-9999', 'Las Vegas'),
    (9,  'Ines Vandermeer', 'ines.v@example.net',        '+1 512 555 0109', '3714 496353 98431',   '062-36-0749', 'Austin'),
    (10, 'Jonas Abiodun',   'jonas@example.com',         '+1 619 555 0110', '6011 0009 9013 9424', '042-10-3580', 'San Diego'),
    (11, 'Keiko Rasmussen', 'keiko.r@example.org',       '+1 303 555 0111', '5200 8282 8282 8210', '095-07-3645', 'Denver'),
    (12, 'Luca Feldmann',   'luca@example.net',          '+1 215 555 0112', '4242 4242 4242 4242', '128-03-6045', 'Boston');

CREATE TABLE orders (
    id          integer PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers,
    item        text NOT NULL,
    amount      numeric(10, 2) NOT NULL,
    placed      timestamp NOT NULL
);

INSERT INTO orders
SELECT n,
       1 + n * 7 % 12,
       (ARRAY['oak desk', 'desk lamp', 'office chair', 'book shelf', 'filing cabinet'])[1 + n % 5],
       (19 + n * 37 % 400) + 0.90,
       timestamp '2026-01-05 09:00' + n * interval '31 hours'
FROM generate_series(1, 200) AS n;
