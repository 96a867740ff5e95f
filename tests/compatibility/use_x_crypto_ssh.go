// x/crypto/ssh takes a net.Conn: here the standard input and output of the proxy.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

type conn struct {
	io.Reader
	io.WriteCloser
}

func (conn) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (conn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (conn) SetDeadline(time.Time) error      { return nil }
func (conn) SetReadDeadline(time.Time) error  { return nil }
func (conn) SetWriteDeadline(time.Time) error { return nil }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	host, port, user := os.Getenv("host"), "22", os.Getenv("user")
	ours := filepath.Join(os.Getenv("HOME"), ".local/share/ssm-ssh")
	proxy := exec.Command("ssm-ssh", "proxy", host, port, user)
	in, out := must(proxy.StdinPipe()), must(proxy.StdoutPipe())
	proxy.Stderr = os.Stderr
	if err := proxy.Start(); err != nil {
		panic(err)
	}
	signer := must(ssh.ParsePrivateKey(must(os.ReadFile(filepath.Join(ours, "id_ed25519")))))
	c, channels, requests, err := ssh.NewClientConn(conn{out, in}, host+":"+port, &ssh.ClientConfig{
		User:              user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback:   must(knownhosts.New(filepath.Join(ours, "known_hosts"))),
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
	})
	if err != nil {
		panic(err)
	}
	there := ssh.NewClient(c, channels, requests)
	session := must(there.NewSession())
	session.Stdin = bytes.NewReader(must(os.ReadFile("f")))
	back, err := session.Output("cat; exit 7")
	if status, ok := err.(*ssh.ExitError); !ok || status.ExitStatus() != 7 {
		fmt.Println(err)
		os.Exit(1)
	}
	if err := os.WriteFile("back", back, 0o600); err != nil {
		panic(err)
	}
	there.Close()
	in.Close()
	proxy.Wait()
}
