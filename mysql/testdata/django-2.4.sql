-- The table as migrations 0001 and 0002 leave it.
CREATE TABLE `services_communication_publishedeventqueue` (
    `id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `create_time` datetime(6) NOT NULL,
    `exchange` varchar(64) NOT NULL,
    `routing_key` varchar(256) NOT NULL,
    `event_time` datetime(6) NOT NULL,
    `aggregate` varchar(64) NOT NULL,
    `event_type` varchar(64) NOT NULL,
    `payload` json NOT NULL,
    `tags` json NULL
);
