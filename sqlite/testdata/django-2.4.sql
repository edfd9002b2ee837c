-- The table as migrations 0001 and 0002 leave it on SQLite.
CREATE TABLE "services_communication_publishedeventqueue" (
    "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
    "create_time" datetime NOT NULL,
    "exchange" varchar(64) NOT NULL,
    "routing_key" varchar(256) NOT NULL,
    "event_time" datetime NOT NULL,
    "aggregate" varchar(64) NOT NULL,
    "event_type" varchar(64) NOT NULL,
    "payload" text NOT NULL CHECK ((JSON_VALID("payload") OR "payload" IS NULL)),
    "tags" text NULL CHECK ((JSON_VALID("tags") OR "tags" IS NULL))
);
