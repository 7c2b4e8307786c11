// Asks a ClickHouse server over HTTP as Grafana's data source does: database/sql over clickhouse-go.
//
// Options say how to connect. Each line of standard input is a question as JSON; each line of standard
// output is its answer as JSON, with every value as text that loses nothing.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/big"
	"os"
	"reflect"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

var methods = map[string]clickhouse.CompressionMethod{
	"none":    clickhouse.CompressionNone,
	"lz4":     clickhouse.CompressionLZ4,
	"zstd":    clickhouse.CompressionZSTD,
	"gzip":    clickhouse.CompressionGZIP,
	"deflate": clickhouse.CompressionDeflate,
	"br":      clickhouse.CompressionBrotli,
}

// A question is a ping, a statement without rows (Exec), or one with rows. Of more than Keep rows only the
// first are in the answer.
type question struct {
	Ping       bool
	Exec       string
	Query      string
	Parameters map[string]string
	Settings   map[string]any
	Keep       int
}

type answer struct {
	Columns []string `json:"columns"`
	Types   []string `json:"types"`
	Rows    [][]any  `json:"rows"`
	Count   int      `json:"count"`
	Error   *failure `json:"error"`
}

// Code is that of clickhouse.Exception, 0 where the error is none; Status is HTTP's.
type failure struct {
	Code    int32  `json:"code"`
	Name    string `json:"name"`
	Status  int    `json:"status"`
	Message string `json:"message"`
}

func main() {
	address := flag.String("address", "", "host:port")
	database := flag.String("database", "default", "the database")
	user := flag.String("user", "default", "the user")
	password := flag.String("password", "", "the user's password")
	method := flag.String("compression", "gzip", "none, lz4, zstd, gzip, deflate or br")
	flag.Parse()
	db := clickhouse.OpenDB(&clickhouse.Options{
		Addr:        []string{*address},
		Auth:        clickhouse.Auth{Database: *database, Username: *user, Password: *password},
		Protocol:    clickhouse.HTTP,
		Compression: &clickhouse.Compression{Method: methods[*method]},
		DialTimeout: 10 * time.Second,
		ReadTimeout: 60 * time.Second,
		Settings:    clickhouse.Settings{"max_execution_time": 30},
		ClientInfo: clickhouse.ClientInfo{
			Products: []struct{ Name, Version string }{{Name: "grafana", Version: "12.0.0"}},
		},
	})
	defer db.Close()
	questions := bufio.NewScanner(os.Stdin)
	questions.Buffer(nil, 1<<24)
	answers := json.NewEncoder(os.Stdout)
	for questions.Scan() {
		var asked question
		if err := json.Unmarshal(questions.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		if err := answers.Encode(answered(db, asked)); err != nil {
			log.Fatal(err)
		}
	}
}

func answered(db *sql.DB, asked question) answer {
	ctx := clickhouse.Context(
		context.Background(),
		clickhouse.WithParameters(asked.Parameters),
		clickhouse.WithSettings(asked.Settings),
		clickhouse.WithClientInfo(clickhouse.ClientInfo{Comment: []string{"grafana_panel:1"}}),
	)
	found := answer{}
	var err error
	switch {
	case asked.Ping:
		err = db.PingContext(ctx)
	case asked.Exec != "":
		_, err = db.ExecContext(ctx, asked.Exec)
	default:
		err = read(ctx, db, asked, &found)
	}
	if err != nil {
		found.Error = described(err)
	}
	return found
}

// read scans every row into what the driver says a column's values are, as the data source does.
func read(ctx context.Context, db *sql.DB, asked question, found *answer) error {
	rows, err := db.QueryContext(ctx, asked.Query)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	places := make([]any, len(columns))
	for i, column := range columns {
		found.Columns = append(found.Columns, column.Name())
		found.Types = append(found.Types, column.DatabaseTypeName())
		places[i] = reflect.New(column.ScanType()).Interface()
	}
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return err
		}
		found.Count++
		if found.Count <= asked.Keep {
			row := make([]any, len(places))
			for i, place := range places {
				row[i] = shown(reflect.ValueOf(place).Elem())
			}
			found.Rows = append(found.Rows, row)
		}
	}
	return rows.Err()
}

// shown is the value as JSON that loses nothing: numbers as text, null, lists and maps of such.
func shown(value reflect.Value) any {
	switch known := value.Interface().(type) {
	case nil:
		return nil
	case decimal.Decimal:
		return known.String()
	case time.Time:
		return known.Format(time.RFC3339Nano)
	case big.Int:
		return known.String()
	case uuid.UUID:
		return known.String()
	}
	switch value.Kind() {
	case reflect.Pointer, reflect.Interface:
		if value.IsNil() {
			return nil
		}
		return shown(value.Elem())
	case reflect.Slice, reflect.Array:
		list := make([]any, value.Len())
		for i := range list {
			list[i] = shown(value.Index(i))
		}
		return list
	case reflect.Map:
		found := map[string]any{}
		for _, key := range value.MapKeys() {
			found[fmt.Sprint(key.Interface())] = shown(value.MapIndex(key))
		}
		return found
	case reflect.Bool:
		return value.Bool()
	default:
		return fmt.Sprint(value.Interface())
	}
}

func described(err error) *failure {
	found := failure{Message: err.Error()}
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		found.Code, found.Name = exception.Code, exception.Name
	}
	var response *clickhouse.HTTPError
	if errors.As(err, &response) {
		found.Status = response.StatusCode
	}
	return &found
}
