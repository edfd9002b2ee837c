-- The table as migrations 0001 to 0003 of django-microservices-communication leave it, without the column that 0006 adds. So it is up to version 2.6.6.
CREATE TABLE `services_communication_publishedeventqueue` (
    `id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `create_time` datetime(6) NOT NULL,
    `exchange` varchar(64) NOT NULL,
    `routing_key` varchar(256) NOT NULL,
    `event_time` datetime(6) NULL,
    `aggregate` varchar(64) NULL,
    `event_type` varchar(64) NULL,
    `payload` json NULL,
    `tags` json NULL,
    `is_new_style` bool NULL,
    `body` json NULL,
    `send_after_time` datetime(6) NULL
);
