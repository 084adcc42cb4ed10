-- The tables of the application, in the schema that the instance is told of. They are the image's to make: the application's own
-- account may fill tables, but neither make nor change nor drop them. Run at each start, so each statement must hold a second time.
CREATE TABLE IF NOT EXISTS note (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    title VARCHAR(200) NOT NULL,
    body TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
