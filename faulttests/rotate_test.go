//go:build unix

package faulttests_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/settings"
)

// secretFile writes a secret to a file, as a tool that rotates secrets does: the file is never half written.
func secretFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

func openQuietly(t *testing.T, s *settings.Settings) *service.Service {
	t.Helper()
	svc, err := service.Open(s, &service.Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := svc.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return svc
}

// ready reports whether the broker accepts messages within a moment.
func ready(t *testing.T, svc *service.Service) bool {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	return svc.Broker.Ready(ctx) == nil
}

func TestAChangedPasswordIsReadFromItsFileAtTheNextConnectionToRabbitMQ(t *testing.T) {
	testenv.Long(t, "waits 15 seconds for the broker")
	rabbit, dir := privateRabbitMQ(t), t.TempDir()
	svc := openQuietly(t, &settings.Settings{Broker: settings.Broker{
		URL:          settings.URL(fmt.Sprintf("amqp://faults@127.0.0.1:%d/", rabbit.port)),
		PasswordFile: secretFile(t, dir, "password", canary+"\n"),
	}})
	eventually(t, "the first password is accepted", func() bool { return ready(t, svc) })
	rabbit.control("change_password", "faults", "another-password")
	rabbit.control("close_all_connections", "rotation")
	eventually(t, "the old password is refused", func() bool { return !ready(t, svc) })
	secretFile(t, dir, "password", "another-password\n")
	eventually(t, "the new password is accepted", func() bool { return ready(t, svc) })
}

func TestAChangedPasswordIsReadFromItsFileAtTheNextConnectionToPostgreSQL(t *testing.T) {
	server, dir := privatePostgres(t), t.TempDir()
	admin, err := pgx.Connect(t.Context(), server.url)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	change := func(statement string) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	change("CREATE ROLE rotating LOGIN SUPERUSER PASSWORD 'first-password'")
	server.write("data/pg_hba.conf", "host all rotating 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n")
	change("SELECT pg_reload_conf()")
	svc := openQuietly(t, &settings.Settings{Database: settings.Database{
		URL:          settings.URL(fmt.Sprintf("postgres://rotating@127.0.0.1:%d/postgres?sslmode=disable", server.port)),
		PasswordFile: secretFile(t, dir, "password", "first-password\n"),
	}})
	rotates(t, "first", func() error { return svc.Pgx().Ping(t.Context()) }, func() {
		change("ALTER ROLE rotating PASSWORD 'second-password'")
		change("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'")
	}, func() { secretFile(t, dir, "password", "second-password\n") })
	if err := svc.Database().Ping(t.Context()); err != nil {
		t.Errorf("the relay's pool: %v", err)
	}
}

func TestAChangedPasswordIsReadFromItsFileAtTheNextConnectionToMariaDB(t *testing.T) {
	server, dir := privateMariaDB(t), t.TempDir()
	admin := openQuietly(t, &settings.Settings{Database: settings.Database{URL: settings.URL(server.url)}})
	change := func(statement string) {
		t.Helper()
		if _, err := admin.DB().ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	change("CREATE USER rotating@'127.0.0.1' IDENTIFIED BY 'first-password'")
	change("GRANT ALL ON faults.* TO rotating@'127.0.0.1'")
	svc := openQuietly(t, &settings.Settings{Database: settings.Database{
		URL:          settings.URL(fmt.Sprintf("mysql://rotating@127.0.0.1:%d/faults", server.port)),
		PasswordFile: secretFile(t, dir, "password", "first-password\n"),
	}})
	rotates(t, "first", func() error { return svc.DB().PingContext(t.Context()) }, func() {
		change("ALTER USER rotating@'127.0.0.1' IDENTIFIED BY 'second-password'")
		change("KILL USER rotating@'127.0.0.1'")
	}, func() { secretFile(t, dir, "password", "second-password\n") })
}

// rotates checks that a ping succeeds, fails after the password has changed on the server, and succeeds after the file has changed.
func rotates(t *testing.T, what string, ping func() error, changeServer, changeFile func()) {
	t.Helper()
	if err := ping(); err != nil {
		t.Fatalf("with the %s password: %v", what, err)
	}
	changeServer()
	eventually(t, "the old password is refused", func() bool { return ping() != nil })
	changeFile()
	eventually(t, "the new password is accepted", func() bool { return ping() == nil })
}

// An issuer is a certificate authority of a test.
type issuer struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue returns a certificate and its key as PEM. Without an issuer it is self-signed, for an authority.
func (i *issuer) issue(name string) (cert, key string) {
	i.t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := i.cert, i.key
	if parent == nil {
		template.IsCA, template.KeyUsage, template.ExtKeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature, nil
		parent, signer = template, own
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &own.PublicKey, signer)
	if err != nil {
		i.t.Fatal(err)
	}
	if i.cert == nil {
		if i.cert, err = x509.ParseCertificate(der); err != nil {
			i.t.Fatal(err)
		}
		i.key = own
	}
	private, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		i.t.Fatal(err)
	}
	text := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return text("CERTIFICATE", der), text("PRIVATE KEY", private)
}

func TestALoginByCertificateFollowsTheFilesOfTheCertificate(t *testing.T) {
	testenv.Long(t, "starts a broker of its own")
	dir, err := os.MkdirTemp("", "parley-rotate-") // readable by the server's account
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	authority := &issuer{t: t}
	cert, _ := authority.issue("authority")
	ca := secretFile(t, dir, "ca.pem", cert)
	cert, key := authority.issue("localhost")
	serverCert, serverKey := secretFile(t, dir, "server.pem", cert), secretFile(t, dir, "server.key", key)
	port := freePort(t)
	rabbit := privateRabbitMQWith(t, fmt.Sprintf(`[{rabbit, [{ssl_listeners, [{"127.0.0.1", %d}]}, {auth_mechanisms, ['PLAIN', 'AMQPLAIN', 'EXTERNAL']}, {ssl_cert_login_from, common_name},
		{ssl_options, [{cacertfile, %q}, {certfile, %q}, {keyfile, %q}, {verify, verify_peer}, {fail_if_no_peer_cert, true}]}]}].`, port, ca, serverCert, serverKey))
	rabbit.run(executable(t, "/usr/lib/rabbitmq/bin/rabbitmq-plugins"), "--node", rabbit.node(), "enable", "rabbitmq_auth_mechanism_ssl")
	for _, user := range []string{"orders-one", "orders-two"} {
		rabbit.control("add_user", user, canary)
		rabbit.control("set_permissions", user, ".*", ".*", ".*")
	}
	clientFiles := func(user string) (cert, key string) {
		cert, key = authority.issue(user)
		return secretFile(t, dir, "client.pem", cert), secretFile(t, dir, "client.key", key)
	}
	clientCert, clientKey := clientFiles("orders-one")
	svc := openQuietly(t, &settings.Settings{Broker: settings.Broker{
		URL: settings.URL(fmt.Sprintf("amqps://localhost:%d/", port)), Auth: settings.AuthCertificate,
		TLS: settings.TLS{CAFile: ca, CertFile: clientCert, KeyFile: clientKey},
	}})
	eventually(t, "the first certificate is accepted", func() bool { return ready(t, svc) })
	rabbit.control("delete_user", "orders-one")
	rabbit.control("close_all_connections", "rotation")
	eventually(t, "the certificate of a deleted user is refused", func() bool { return !ready(t, svc) })
	clientFiles("orders-two")
	eventually(t, "the new certificate is accepted", func() bool { return ready(t, svc) })
}
