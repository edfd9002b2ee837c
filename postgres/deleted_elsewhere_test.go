package postgres_test

// pythonDelete is the statement of a relay of the Python library after each message that it has published.
const pythonDelete = `DELETE FROM "services_communication_publishedeventqueue" WHERE "services_communication_publishedeventqueue"."id" IN (%d)`
