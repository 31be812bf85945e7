-- One order as a transaction of four statements.
\set number random(1, 9000000000000000)
BEGIN;
INSERT INTO orders (order_id, recorded_at, event_date, currency, click_id, customer_id)
VALUES ('A-' || :number, now(), '2026-11-20T18:00:22+00:00', 'USD', 'QiiWXOVnrQ3SQHl24jQjyxBG' || :number, 'BCZ2WVSH674' || :number)
RETURNING id \gset
INSERT INTO items VALUES
    (:id, 0, 'A-198237465', 'Blacksmithing', 1, 4250),
    (:id, 1, 'A-91827645', 'Sporting Goods', 1, 1350),
    (:id, 2, 'A-' || :number, 'Garden, house & tools', 2, 2598);
COMMIT;
