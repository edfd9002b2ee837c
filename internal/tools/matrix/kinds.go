//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/parley-go/parley/internal/testenv"
)

func startPostgres(ctx context.Context, n *node, port string) error {
	n.address = "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable"
	const bin = "/usr/lib/postgresql/*/bin/"
	if err := n.run(ctx, bin+"initdb", "-D", n.dir+"/data", "-U", "postgres", "-A", "trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"); err != nil {
		return err
	}
	return n.launch(ctx, bin+"postgres", "-D", n.dir+"/data", "-p", port, "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories="+n.dir, "-c", "max_connections=200")
}

func startMySQL(ctx context.Context, n *node, port string) error {
	n.address = "root@tcp(127.0.0.1:" + port + ")/"
	daemon, args := "/usr/sbin/mysqld", []string{"--no-defaults", "--datadir=" + n.dir + "/data"}
	maria, _ := filepath.Glob(filepath.Join(n.root, "/usr/sbin/mariadbd"))
	var err error
	if len(maria) > 0 {
		daemon = "/usr/sbin/mariadbd"
		err = n.run(ctx, "/usr/bin/mariadb-install-db", append(args, "--auth-root-authentication-method=normal", "--skip-test-db")...)
	} else {
		err = n.run(ctx, daemon, append(args, "--initialize-insecure")...)
		args = append(args, "--mysqlx=OFF")
	}
	if err != nil {
		return err
	}
	return n.launch(ctx, daemon, append(args, "--port="+port, "--bind-address=127.0.0.1", "--socket="+n.dir+"/sock",
		"--pid-file="+n.dir+"/pid", "--character-set-server=utf8mb4", "--max-connections=300")...)
}

const rabbitBin = "/usr/lib/rabbitmq/bin/"

func startRabbit(ctx context.Context, n *node, port string) error {
	epmd, err1 := freePort()
	dist, err2 := freePort()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	n.address = "amqp://guest:guest@127.0.0.1:" + port + "/"
	n.env = []string{
		"ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT=" + epmd, "ERL_FLAGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RUNNING_UNDER_SYSTEMD=true", "RABBITMQ_NODENAME=matrix" + port + "@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT=" + port, "RABBITMQ_DIST_PORT=" + dist, "RABBITMQ_MNESIA_BASE=" + n.dir + "/data",
		"RABBITMQ_LOG_BASE=" + n.dir + "/logs", "RABBITMQ_PID_FILE=" + n.dir + "/pid", "RABBITMQ_ENABLED_PLUGINS_FILE=" + n.dir + "/plugins",
		"RABBITMQ_CONF_ENV_FILE=" + n.dir + "/none", "RABBITMQ_CONFIG_FILE=" + n.dir + "/rabbitmq.conf",
	}
	// Started by the node itself, epmd would be a daemon that outlives it.
	if err := n.launch(ctx, "/usr/bin/epmd", "-port", epmd, "-address", "127.0.0.1"); err != nil {
		return err
	}
	return n.launch(ctx, rabbitBin+"rabbitmq-server")
}

// vary prepares a running broker for a variant.
func vary(ctx context.Context, n *node, r row) error {
	if r.quorum {
		if err := n.run(ctx, rabbitBin+"rabbitmqctl", "add_vhost", "quorum", "--default-queue-type", "quorum"); err != nil {
			return err
		}
		n.address += "quorum"
		return n.run(ctx, rabbitBin+"rabbitmqctl", "set_permissions", "-p", "quorum", "guest", ".*", ".*", ".*")
	}
	if !r.strict {
		return nil
	}
	cmd, err := n.command(ctx, rabbitBin+"rabbitmqctl", "-q", "list_deprecated_features", "name", "--formatter", "json")
	if err != nil {
		return err
	}
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	var features []struct{ Name string }
	if err := json.Unmarshal(out, &features); err != nil {
		return err
	}
	var conf strings.Builder
	for _, f := range features {
		conf.WriteString("deprecated_features.permit." + f.Name + " = false\n")
	}
	if err := os.WriteFile(filepath.Join(n.root, n.dir, "rabbitmq.conf"), []byte(conf.String()), 0o644); err != nil {
		return err
	}
	server := n.children[len(n.children)-1]
	n.children = n.children[:len(n.children)-1]
	if err := n.run(ctx, rabbitBin+"rabbitmqctl", "stop"); err != nil {
		return err
	}
	_ = server.Wait() // its exit code says nothing
	if err := n.launch(ctx, rabbitBin+"rabbitmq-server"); err != nil {
		return err
	}
	_, err = n.ready(ctx, testenv.RabbitMQServer)
	return err
}
