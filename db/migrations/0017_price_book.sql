-- Which price book this database is billed by: two consoles must not bill by two. The first run that needs one sets it.
ALTER TABLE console.billing ADD COLUMN price_book text;
