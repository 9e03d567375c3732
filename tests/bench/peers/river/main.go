// River with the worker that is measured, telling what tests/bench/progress.hpp tells.
//
//	river migrate URL
//	river work URL WORKERS
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

const (
	sampleEvery = 10 * time.Millisecond
	// The shortest that River allows.
	fetchCooldown     = time.Millisecond
	fetchPollInterval = 20 * time.Millisecond
)

type noopArgs struct {
	N int64 `json:"n"`
}

func (noopArgs) Kind() string { return "noop" }

type noopWorker struct {
	river.WorkerDefaults[noopArgs]
	ran *atomic.Int64
}

func (w *noopWorker) Work(context.Context, *river.Job[noopArgs]) error {
	w.ran.Add(1)
	return nil
}

func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

func work(ctx context.Context, pool *pgxpool.Pool, maxWorkers int) error {
	var ran atomic.Int64
	workers := river.NewWorkers()
	river.AddWorker(workers, &noopWorker{ran: &ran})
	client, err := river.NewClient[pgx.Tx](riverpgxv5.New(pool), &river.Config{
		FetchCooldown:     fetchCooldown,
		FetchPollInterval: fetchPollInterval,
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: maxWorkers}},
		Workers:           workers,
	})
	if err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return err
	}

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	told := int64(0)
	tell := func() {
		if now := ran.Load(); now != told {
			told = now
			fmt.Printf("%d %d\n", time.Now().UnixMicro(), told)
		}
	}
	for ticker := time.NewTicker(sampleEvery); ; {
		select {
		case <-ticker.C:
			tell()
		case <-stop:
			err := client.Stop(ctx)
			tell()
			fmt.Println("{}")
			return err
		}
	}
}

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: river migrate URL | river work URL WORKERS")
	}
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	if os.Args[1] == "migrate" {
		err = migrate(ctx, pool)
	} else {
		var maxWorkers int
		if maxWorkers, err = strconv.Atoi(os.Args[3]); err == nil {
			err = work(ctx, pool, maxWorkers)
		}
	}
	if err != nil {
		log.Fatal(err)
	}
}
