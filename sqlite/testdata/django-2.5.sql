-- The table as migrations 0001 to 0003 of django-microservices-communication leave it on SQLite, without the column that 0006 adds. So it is up to version 2.6.6.
CREATE TABLE "services_communication_publishedeventqueue" (
    "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
    "create_time" datetime NOT NULL,
    "exchange" varchar(64) NOT NULL,
    "routing_key" varchar(256) NOT NULL,
    "event_time" datetime NULL,
    "aggregate" varchar(64) NULL,
    "event_type" varchar(64) NULL,
    "payload" text NULL CHECK ((JSON_VALID("payload") OR "payload" IS NULL)),
    "tags" text NULL CHECK ((JSON_VALID("tags") OR "tags" IS NULL)),
    "is_new_style" bool NULL,
    "body" text NULL CHECK ((JSON_VALID("body") OR "body" IS NULL)),
    "send_after_time" datetime NULL
);
