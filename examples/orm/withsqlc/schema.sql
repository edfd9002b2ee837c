CREATE TABLE accounts (
    id   BIGINT PRIMARY KEY,
    name VARCHAR(20) NOT NULL
);

CREATE TABLE greetings (
    account_id BIGINT PRIMARY KEY,
    text       VARCHAR(100) NOT NULL
);
