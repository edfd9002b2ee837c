//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/parley-go/parley/internal/testenv"
)

func privatePostgres() privateServer {
	return privateServer{
		server:   testenv.PostgreSQL,
		port:     5432,
		packages: []string{"postgresql"},
		account:  "postgres",
		programs: func() (map[string]string, error) {
			// Debian installs them outside PATH, in one directory per version.
			dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
			return lookUp(dirs, "initdb", "postgres")
		},
		initialize: func(ctx context.Context, i *instance) error {
			return i.do(ctx, "initdb", "--pgdata="+i.data(), "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
		},
		command: func(i *instance) (args, env []string, err error) {
			return []string{
				i.paths["postgres"], "-D", i.data(), "-p", strconv.Itoa(i.port),
				"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + i.dir, "-c", "max_connections=200",
			}, nil, nil
		},
		address: func(port int) string {
			return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)
		},
	}
}

func privateMariaDB() privateServer {
	return privateServer{
		server:   testenv.MariaDBServer,
		port:     3306,
		packages: []string{"mariadb-server"},
		account:  "mysql",
		programs: func() (map[string]string, error) {
			return lookUp([]string{"/usr/sbin"}, "mariadb-install-db", "mariadbd")
		},
		initialize: func(ctx context.Context, i *instance) error {
			// "normal": root with an empty password, over TCP as well.
			return i.do(ctx, "mariadb-install-db", "--no-defaults", "--datadir="+i.data(), "--auth-root-authentication-method=normal", "--skip-test-db")
		},
		command: func(i *instance) (args, env []string, err error) {
			return []string{
				i.paths["mariadbd"], "--no-defaults", "--datadir=" + i.data(), "--port=" + strconv.Itoa(i.port),
				"--bind-address=127.0.0.1", "--socket=" + filepath.Join(i.dir, "socket"),
				"--pid-file=" + filepath.Join(i.dir, "pid"), "--character-set-server=utf8mb4", "--max-connections=300",
			}, nil, nil
		},
		address: func(port int) string { return fmt.Sprintf("root@tcp(127.0.0.1:%d)/", port) },
	}
}

func privateRabbitMQ() privateServer {
	return privateServer{
		server:   testenv.RabbitMQServer,
		port:     5672,
		packages: []string{"rabbitmq-server"},
		account:  "rabbitmq",
		programs: func() (map[string]string, error) {
			// The rabbitmq-server in Debian's PATH always uses the machine's own directory.
			return lookUp([]string{"/usr/lib/rabbitmq/bin"}, "rabbitmq-server")
		},
		command: rabbitCommand,
		address: func(port int) string { return fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d/", port) },
	}
}

// rabbitCommand separates the broker from everything of the machine's own broker:
// node name, ports, data, logs, plug-ins, configuration, Erlang cookie.
func rabbitCommand(i *instance) (args, env []string, err error) {
	distribution, err := freePort(0)
	if err != nil {
		return nil, nil, err
	}
	return []string{i.paths["rabbitmq-server"]}, []string{
		"HOME=" + i.dir,
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"ERL_FLAGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_NODENAME=parley-test@localhost",
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT=" + strconv.Itoa(i.port),
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(distribution),
		"RABBITMQ_MNESIA_BASE=" + i.data(),
		"RABBITMQ_LOG_BASE=" + filepath.Join(i.dir, "log"),
		"RABBITMQ_PID_FILE=" + filepath.Join(i.dir, "pid"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(i.dir, "enabled_plugins"),
		"RABBITMQ_CONF_ENV_FILE=" + filepath.Join(i.dir, "no-such-file"),
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(i.dir, "no-such-file"),
	}, nil
}

func (i *instance) data() string { return filepath.Join(i.dir, "data") }

// lookUp finds programs in PATH or in one of dirs. The last one wins.
func lookUp(dirs []string, programs ...string) (map[string]string, error) {
	paths := make(map[string]string)
	for _, name := range programs {
		for _, dir := range dirs {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				paths[name] = path
			}
		}
		if paths[name] != "" {
			continue
		}
		path, err := exec.LookPath(name)
		if err != nil {
			return nil, fmt.Errorf("program %s is not installed", name)
		}
		paths[name] = path
	}
	return paths, nil
}
